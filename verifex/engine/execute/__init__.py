"""Work for other processes: tasks of plain data, channels, and how processes start and end."""
