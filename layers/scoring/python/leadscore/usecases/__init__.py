"""Use cases: gather through protocols, decide in the core, act through protocols; they know no AWS and no clock."""
