"""The schema's history in versions/, run through `env` by `callpath.store.upgrade` when a log is opened."""
