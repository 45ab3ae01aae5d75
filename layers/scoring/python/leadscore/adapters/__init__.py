"""The only modules that know boto3, the clock and the environment: they turn AWS into the use cases' protocols."""
