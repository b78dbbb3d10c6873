"""Pure Python work in a pipeline of processes, and the same in processes side by side."""
