"""A local copy of Argo's GDAC: index files and profile files from HTTPS, FTP, S3 or a folder, whole or not at all.

Every path here is relative to the root of the GDAC, such as `dac/incois/2902269/profiles/D2902269_001.nc`; an index
gives it below `dac/`. Local copies have the same shape.
"""
