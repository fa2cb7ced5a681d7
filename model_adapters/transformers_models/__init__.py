"""Any image-text-to-text or text model of the transformers library, with its own processor and chat template.

source.py      where a checkpoint lies: a folder, or a hub repository at one commit; remote code only on two conditions
processing.py  its processor, with PIL in the place of torchvision; requests into padded batches
loading.py     its model: number format, device, attention, quantisation, LoRA
generating.py  batches to answers, with clocks, stop strings and seeded draws
choices.py     log-likelihoods of given continuations
adapter.py     the contract
"""
