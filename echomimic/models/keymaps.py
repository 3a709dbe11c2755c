"""Foreign tensor names → ours, in one place. Names only: nothing here touches a tensor.

The U-Nets and the guider carry the official names verbatim. The VAE has been published in three spellings,
the Whisper encoder in two.
"""

import re
from collections.abc import Iterable

_VAE_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_LDM_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_WHISPER_BLOCK = {
    "attn.query": "self_attn.q_proj",
    "attn.key": "self_attn.k_proj",
    "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj",
    "attn_ln": "self_attn_layer_norm",
    "mlp.0": "fc1",
    "mlp.2": "fc2",
    "mlp_ln": "final_layer_norm",
}


def vae_names(names: Iterable[str], blocks: int = 4) -> dict[str, str]:
    """Ours → theirs for a VAE of ``blocks`` levels in diffusers' new or old spelling, or the original one.

    The original spelling (``encoder.down.0.block.0…``) is that of single files such as
    ``vae-ft-mse-840000-ema-pruned.safetensors``; of a whole Stable Diffusion checkpoint the
    ``first_stage_model.`` part is taken. Training leftovers (``loss.*``, ``model_ema.*``) are left out;
    everything else is mapped, so unknown names stay visible.
    """
    prefix = "first_stage_model."
    whole = [name for name in names if not name.startswith(("loss.", "model_ema."))]
    if inside := [name for name in whole if name.startswith(prefix)]:
        return {_vae_name(name.removeprefix(prefix), blocks): name for name in inside}
    return {_vae_name(name, blocks): name for name in whole}


def _vae_name(name: str, blocks: int) -> str:
    *path, leaf, kind = name.split(".")
    if path[-2:-1] == ["attentions"] and leaf in _VAE_OLD:
        return ".".join([*path, _VAE_OLD[leaf], kind])
    if match := re.fullmatch(r"(encoder|decoder)\.mid\.attn_1\.(\w+)\.(\w+)", name):
        side, layer, kind = match.groups()
        return f"{side}.mid_block.attentions.0.{_LDM_ATTENTION.get(layer, layer)}.{kind}"
    name = re.sub(r"\.mid\.block_(\d)\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", name)
    name = re.sub(r"\.down\.(\d)\.block\.", r".down_blocks.\1.resnets.", name)
    name = re.sub(r"\.down\.(\d)\.downsample\.", r".down_blocks.\1.downsamplers.0.", name)
    name = re.sub(r"\.up\.(\d)\.block\.", lambda m: f".up_blocks.{blocks - 1 - int(m[1])}.resnets.", name)
    name = re.sub(
        r"\.up\.(\d)\.upsample\.", lambda m: f".up_blocks.{blocks - 1 - int(m[1])}.upsamplers.0.", name
    )
    return name.replace(".nin_shortcut.", ".conv_shortcut.").replace(
        "coder.norm_out.", "coder.conv_norm_out."
    )


def whisper_names(names: Iterable[str]) -> dict[str, str]:
    """Ours (transformers' ``WhisperEncoder``) → theirs: OpenAI's ``.pt``, a Hugging Face file or already
    ours.

    The decoder and the encoder's last norm are published with it and never used; they are left out.
    Everything else is mapped, so unknown names stay visible.
    """
    unused = ("decoder.", "model.decoder.", "proj_out.", "encoder.ln_post.", "model.encoder.layer_norm.")
    return {_whisper_name(name.removeprefix("model.")): name for name in names if not name.startswith(unused)}


def _whisper_name(name: str) -> str:
    name = name.removeprefix("encoder.")
    if match := re.fullmatch(r"blocks\.(\d+)\.(\w+(?:\.(?:query|key|value|out|0|2))?)\.(weight|bias)", name):
        number, layer, kind = match.groups()
        return f"layers.{number}.{_WHISPER_BLOCK.get(layer, layer)}.{kind}"
    if name == "positional_embedding":
        return "embed_positions.weight"
    return name
