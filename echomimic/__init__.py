"""EchoMimic: a portrait and a speech become a talking video."""
