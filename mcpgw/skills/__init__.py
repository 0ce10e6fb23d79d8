"""Agent Skills: instructions that clients read as resources. Nothing in a skill is executed."""
