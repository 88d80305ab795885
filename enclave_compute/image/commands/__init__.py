"""The commands of `concordat image`, one module each; they read files, call what does the work, and print."""
