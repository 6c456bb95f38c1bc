"""Settings modules: pick one by its short name, `manage.py --settings devstack_docker`."""
