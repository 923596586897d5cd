"""The symptoms that `diagnose` examines without a reference, a file a stage.

To add one: write a function that takes a probe and yields rows, in the file of its stage, and put
`@symptom` above it. Its name is the row's; docs/diagnose.md says what it looks at. It must not fail
on a sound model, whatever the seed; what may have a reason is a warning.
"""

from edge_audio.evaluate.symptoms import decoder, inputs, prompt, sound, transformer, weights
from edge_audio.evaluate.symptoms.registry import Symptom, symptoms_of

__all__ = ["SYMPTOMS", "Symptom"]

#: in the order of the stages
SYMPTOMS = symptoms_of(prompt, inputs, transformer, decoder, sound, weights)
