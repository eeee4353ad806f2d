"""The Ansible collection, with the real ansible-core."""
