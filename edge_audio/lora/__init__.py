"""Styles: adapters (LoRA and its relatives), merged into the weights of a model: those of a
checkpoint as the exporter reads them, or those in a bundle's graphs when it is opened.

An adapter is a .safetensors file as the official code writes it, or a folder of PEFT.
"""
