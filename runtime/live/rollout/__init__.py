"""A new engine beside the one that runs: compared unseen, shown on request, taken back when it does worse."""
