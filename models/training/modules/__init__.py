"""The model family in PyTorch, with the parameter names of the official code.

Three users: the training scripts, which save a checkpoint of official format straight from
`state_dict()`; the parity oracle of tests and benchmarks; and a reader who wants the architecture,
a part a file. Layout is the official one, channels before time: [batch, channels, time]. Every
module takes its sizes from the official `model_config.json`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .autoencoder import Autoencoder, WeightNormConv1d
from .conditioners import NumberConditioner
from .dit import DiffusionTransformer
from .t5 import T5Encoder

__all__ = ["Autoencoder", "Model", "WeightNormConv1d"]


class Model(nn.Module):
    """All parts of one checkpoint.

    `state_dict()` holds `model.safetensors` under the official names, T5 under `t5.`.
    """

    def __init__(self, config: dict, t5_config: dict):
        super().__init__()
        self.config, self.t5_config = config, t5_config
        self.model, self.conditioner, self.pretransform = nn.Module(), nn.Module(), nn.Module()
        self.model.model = DiffusionTransformer(**config["model"]["diffusion"]["config"])
        number = next(
            c for c in config["model"]["conditioning"]["configs"] if c["type"] == "number"
        )
        self.conditioner.conditioners = nn.ModuleDict(
            {
                number["id"]: NumberConditioner(
                    config["model"]["conditioning"]["cond_dim"], **number["config"]
                )
            }
        )
        self.pretransform.model = Autoencoder(config["model"]["pretransform"]["config"])
        self.t5 = T5Encoder(t5_config)

    @property
    def dit(self) -> DiffusionTransformer:
        return self.model.model

    @property
    def autoencoder(self) -> Autoencoder:
        return self.pretransform.model

    def condition(
        self, input_ids: Tensor, attention_mask: Tensor, seconds_total: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ids, mask [B, L] and seconds [B] -> cross_attn_cond [B, L+1, D], global_cond [B, D]."""
        hidden = self.t5(input_ids, attention_mask) * attention_mask[..., None]
        seconds = self.conditioner.conditioners["seconds_total"](seconds_total)
        return torch.cat([hidden, seconds[:, None]], dim=1), seconds
