"""More than a mean: frames without a polyp, clips without ground truth, several models, thresholds, pictures, a page.

The scores of labelled images are in `edgeseg.proof.verdict.evaluation`, which `verify` and training use too.
"""
