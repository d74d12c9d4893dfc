"""One module per protocol; each turns its requests into calls of `streetvision_core.serving.gateway.Gateway`."""
