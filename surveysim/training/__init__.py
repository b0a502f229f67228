"""Fine-tuning of the last blocks: trunk states, the head, the two losses, selection and the training loop."""
