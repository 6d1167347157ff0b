"""The version of hyper, in a module that imports nothing so that builds can read it."""

__version__ = "1.0.0.dev0"
