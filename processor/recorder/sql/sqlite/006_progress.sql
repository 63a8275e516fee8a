-- What the run said last of how far it is: [fraction, message, unix_ms]. Of the newest delivery.
ALTER TABLE runs ADD COLUMN progress TEXT;
