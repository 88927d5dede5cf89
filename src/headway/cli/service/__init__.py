"""The commands of the service: workers, queues, schedules."""
