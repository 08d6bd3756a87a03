"""What every training needs: the loop, its checkpoints, its curves, the processes of a launcher. Knows no codes."""
