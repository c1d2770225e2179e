"""What a user waits for and stores before a first aligned image: ours beside other tools, each installed alone."""
