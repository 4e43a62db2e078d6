"""The schema's history in versions/, run through `env` by `callpath.store.migrate` when a log is opened."""
