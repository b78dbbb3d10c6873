"""Many streams at once, each as fast as somebody speaks."""
