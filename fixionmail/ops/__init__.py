"""What people see of the deployment, and do about it: one meaning for console, command line, doctor and web."""
