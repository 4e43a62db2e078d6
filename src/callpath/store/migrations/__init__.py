"""The schema's history; run by `callpath.store.sql` when a log is opened."""
