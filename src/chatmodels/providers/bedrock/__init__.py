"""AWS Bedrock: its client, its two interfaces and the bodies of its models."""
