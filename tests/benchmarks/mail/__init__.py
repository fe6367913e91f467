"""Due deliveries to recorded sent: rounds of mail beside one mail per message of other queues."""
