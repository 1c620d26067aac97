"""What every command runs on: the home folder, files, tracking, executors."""
