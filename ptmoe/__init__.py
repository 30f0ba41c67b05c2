"""PT-MoE and the methods that it is compared with, as a DVC pipeline and a library."""

__version__ = "0.1.0"
