"""The settings of each kind of trigger, one file for each kind."""
