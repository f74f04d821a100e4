"""May this engine ship? Scores, verdicts, evaluations and their pages. Judges what runs; runs nothing of its own."""
