"""What every training needs: the loop, its checkpoints, its curves and the processes of a launcher. Knows no codes."""
