"""What any loss wants: free vectors under a training loss, with no network and no data between them and the loss."""
