"""Whether SNS said it: signatures, certificates, addresses, confirmation; nothing is believed before."""
