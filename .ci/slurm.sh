#!/usr/bin/env bash
# A Slurm of this one machine for the test of `ptmoe sweep --slurm`: Debian's packages, started by hand as root, since a
# container has no systemd. Does nothing where a Slurm answers already.
set -euo pipefail
if sinfo --noheader >/dev/null 2>&1; then
  exit 0
fi

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
fi

# Requeued jobs may start after 5 seconds (cred_expire) and not Slurm's two minutes; jobs of `urgent` push those of `cells`
# back into the queue, with 20 seconds to save.
node=$(hostname -s)
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
$(slurmd -C | grep ^NodeName) NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=cells Nodes=$node Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=$node PriorityTier=10 PreemptMode=OFF
CONF

mkdir -p /var/spool/slurmctld /var/spool/slurmd
install --directory --owner munge --mode 755 /run/munge
pgrep -x munged >/dev/null || runuser -u munge -- munged
slurmctld
slurmd
for _ in $(seq 20); do
  if sinfo --noheader --states idle 2>/dev/null | grep -q .; then
    exit 0
  fi
  sleep 1
done
echo "Slurm did not start; see /var/log/slurmctld.log and /var/log/slurmd.log" >&2
exit 1
