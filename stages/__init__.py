"""The stages of dvc.yaml, one script each."""

from ptmoe.runtime.parents import stop_with_dvc
from ptmoe.runtime.stopping import stop_during_imports

stop_during_imports()
stop_with_dvc()
