import pandas as pd
frame = pd.DataFrame({'k': ['a', 'b', 'a', 'c'], 'v': [1.0, 2.0, 3.0, 4.0]})
print(frame.groupby('k').v.mean().to_dict())
