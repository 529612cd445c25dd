"""Where models come from: addresses are resolved, fetched, verified and described here, without torch.

`fetch.fetch_model` brings `hf://` and `https://` models into a folder; `pvc://` and `oci://` models are mounted by the
kubelet and only read. `inspect.inspect_folder` tells what a folder holds from `config.json` and the headers of its
safetensors files.
"""
