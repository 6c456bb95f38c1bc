"""Licences of enterprises, and the notices that tell their administrators how far the licences are used up."""
