#!/bin/bash
# Two nodes of four GPUs each: `sbatch configs/slurm.sh`. Stages start themselves on every node and device.
#SBATCH --job-name=ptmoe
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --requeue

source .venv/bin/activate
exec dvc repro
