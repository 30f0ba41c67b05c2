"""The stages of dvc.yaml, one script each."""

from ptmoe.runtime.stopping import stop_during_imports

stop_during_imports()
