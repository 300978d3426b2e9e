"""First contact: from somebody's folder to a plain answer, one command after the other."""
