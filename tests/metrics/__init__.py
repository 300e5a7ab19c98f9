"""Metrics for OpenTelemetry and Prometheus, against the real libraries."""
