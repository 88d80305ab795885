"""Flights: an airline, a weather service and an aircraft registry ask together what delays aircraft."""
