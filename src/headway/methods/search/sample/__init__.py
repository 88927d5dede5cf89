"""Methods that sample whole answers and choose one."""
