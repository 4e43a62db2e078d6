"""The schema's history in versions/, run through `env` by `callpath.store.sql` when a log is opened."""
