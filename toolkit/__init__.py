"""Text-to-speech research toolkit: Tacotron 2, WaveNet with a mixture of logistics, and interchangeable parts around them.

Letters used for shapes in every docstring and comment:

    B batch   S symbols   T frames   r reduction factor   M mel bins   N samples
    D features of a part   F condition features   P prenet size   K mixture components

Lengths are int64 ``B``. A ``mask`` is bool and True on padding. Times are seconds unless the name says otherwise.
"""

__version__ = "0.1.0"
