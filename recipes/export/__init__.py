"""Writing a build down for people who do not use this tool: a shell script, a Dockerfile."""
