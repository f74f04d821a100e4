"""Comparisons of training choices: a file of recipe keys becomes trials, a table, curves and a verdict in words.

`study_file` and `points` say what to train, `ledger` who trains what, `study_storage` and `postgresql_storage` keep it,
`running` trains, `study_results`, `effects`, `plots` and `study_page` tell what came out. A study has no training code
of its own: each trial is `edgeseg.train.training.train`.
"""
