"""Training on the ONNX graph itself, in PyTorch: a differentiable executor and a loop around it.

Needs the extra `train`. Import what you use from the modules:

* `executor.Network`: runs a model on batches, hands out gradients, writes learned constants back.
* `train.train`: settings and a context in, a trained model out; `settings.Settings` says how.
* `gradients`: gradients of a loss by constants and by channels, and pruning scores made of them.
* `accuracy.accuracy`: share of right answers, as onnxruntime computes them; needs no PyTorch.
"""

import os

# Before PyTorch is imported: its threads then wait asleep. Spinning, they take ten times the
# processor time of the work itself as soon as anything else runs on the machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
